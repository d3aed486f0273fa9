-- Accounts with credentials of their own, several per provider, and how far behind their figures usually are.

ALTER TABLE accounts
    -- Encrypted and bound to this row: in another row, or without the key, it opens nothing.
    ADD COLUMN credential     bytea,
    ADD COLUMN options        jsonb NOT NULL DEFAULT '{}',
    -- Chosen as the one that events of its provider belong to if they name none; without a choice there is a rule.
    ADD COLUMN is_default     boolean NOT NULL DEFAULT false,
    ADD COLUMN monthly_limit  usd CHECK (monthly_limit >= 0),
    -- Not polled any more; its figures stay.
    ADD COLUMN archived_at    timestamptz,
    -- Its figures are on their way out, so nothing new may belong to it.
    ADD COLUMN deleting_at    timestamptz,
    ADD CHECK (credential IS NULL OR (origin = 'stored' AND archived_at IS NULL AND deleting_at IS NULL)),
    ADD CHECK (NOT is_default OR (archived_at IS NULL AND deleting_at IS NULL));
CREATE UNIQUE INDEX accounts_default ON accounts (provider) WHERE is_default;
-- The same owner polled twice would be counted twice.
CREATE UNIQUE INDEX accounts_owner ON accounts (provider, owner_id) WHERE owner_id IS NOT NULL;

-- How many seconds complete_until trailed after each of the latest collections that went well.
CREATE TABLE account_lags (
    account_id  bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    at          timestamptz NOT NULL,
    seconds     bigint NOT NULL,
    PRIMARY KEY (account_id, at)
);
