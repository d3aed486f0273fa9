-- Rows of a report that look absurd, held back until a person decides, and when each stream was last read further back.

ALTER TABLE collection_state
    -- When the fetches began that last read the last five weeks, and a month that is invoiced, to their end.
    ADD COLUMN weekly_read_at   timestamptz,
    ADD COLUMN monthly_read_at  timestamptz;

-- What a bucket would count for, were it believed. The bucket itself is stored like any other, but has no line in the
-- ledger unless it was released. It goes with its bucket.
CREATE TABLE quarantine (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket_id    bigint NOT NULL UNIQUE REFERENCES buckets ON DELETE CASCADE,
    account_id   bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    stream       text NOT NULL,
    recorded_at  timestamptz NOT NULL,
    state        text NOT NULL CHECK (state IN ('held', 'released', 'dropped')),
    -- The line of the ledger, by column, with its rates beside it.
    line         jsonb NOT NULL,
    rates_id     bigint REFERENCES rates,
    -- What it was judged by: NULL is "no price", as in the ledger.
    cost         usd,
    tokens       numeric NOT NULL,
    usual_cost   numeric NOT NULL,
    usual_tokens numeric NOT NULL,
    held_at      timestamptz NOT NULL,
    decided_at   timestamptz,
    decided_by   text,
    note         text
);
CREATE INDEX quarantine_held ON quarantine (recorded_at) WHERE state = 'held';
CREATE INDEX quarantine_of_account ON quarantine (account_id, recorded_at);

-- What is held in the shape that reports are narrowed by.
CREATE VIEW held_facts AS
SELECT
    quarantine.id, quarantine.recorded_at, line.provider, quarantine.account_id, line.model, line.project,
    line.session_type,
    coalesce(line.agent, 'unassigned') AS agent,
    coalesce(line.category, 'unassigned') AS category,
    coalesce(line.user_name, 'unassigned') AS user_name,
    coalesce(line.request_type, 'unassigned') AS request_type,
    line.source, line.session_label, line.tags, quarantine.cost, quarantine.tokens
FROM quarantine CROSS JOIN LATERAL jsonb_populate_record(NULL::ledger, quarantine.line) AS line
WHERE quarantine.state = 'held';
