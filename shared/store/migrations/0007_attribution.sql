-- Attribution and manual entries: finding balance lines and buckets of a day, and what manual entries said before.

-- Both kinds are few beside events, which these indexes leave out.
CREATE INDEX ledger_balance ON ledger (account_id, recorded_at) WHERE source = 'attribution';
CREATE INDEX ledger_polled ON ledger (account_id, recorded_at) WHERE source = 'api';

-- Earlier words of manual entries, kept for good. No reference to the ledger: a deleted entry keeps its history.
CREATE TABLE manual_versions (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    line_id      bigint NOT NULL,
    entry        jsonb NOT NULL,
    updated_at   timestamptz NOT NULL,
    replaced_at  timestamptz NOT NULL,
    reason       text NOT NULL CHECK (reason IN ('edited', 'deleted'))
);
CREATE INDEX manual_versions_of_line ON manual_versions (line_id);
