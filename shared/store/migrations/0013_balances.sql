-- What is left of prepaid money, as providers said at one collection after the other. Never anybody's cost.

CREATE TABLE balances (
    account_id  bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    at          timestamptz NOT NULL,
    currency    text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- In that currency, so none of them is a `usd`; below zero is owed.
    available   numeric NOT NULL CHECK (scale(available) <= 30 AND available NOT IN ('NaN', 'Infinity', '-Infinity')),
    granted     numeric CHECK (scale(granted) <= 30 AND granted NOT IN ('NaN', 'Infinity', '-Infinity')),
    topped_up   numeric CHECK (scale(topped_up) <= 30 AND topped_up NOT IN ('NaN', 'Infinity', '-Infinity')),
    called      text NOT NULL,
    PRIMARY KEY (account_id, currency, at)
);

-- When its provider was last asked for balances: what it did not name then is not there any more.
ALTER TABLE accounts ADD COLUMN balances_at timestamptz;
