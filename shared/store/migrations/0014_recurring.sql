-- What recurs, such as a plan that is paid every month, and which dates of it have become manual entries.

CREATE TABLE recurring_entries (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service      text NOT NULL,
    account_id   bigint REFERENCES accounts ON DELETE CASCADE,
    cost         usd NOT NULL CHECK (cost >= 0),
    tokens       bigint NOT NULL CHECK (tokens >= 0),
    model        text,
    notes        text,
    project      text,
    tags         jsonb,
    repeat       text NOT NULL CHECK (repeat IN ('weekly', 'monthly', 'yearly')),
    first_date   date NOT NULL,
    -- Inclusive; NULL is for ever.
    until        date,
    -- No date up to this one is booked any more, whatever becomes of the rule.
    booked_until date,
    ended_at     timestamptz,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL
);

-- A date is booked once. No reference to the ledger: an entry that was deleted does not come back.
CREATE TABLE recurring_dates (
    recurring_id bigint NOT NULL REFERENCES recurring_entries ON DELETE CASCADE,
    date         date NOT NULL,
    line_id      bigint NOT NULL,
    PRIMARY KEY (recurring_id, date)
);
