-- Events that belong to no account, by the provider whose first account will take them.
CREATE INDEX ledger_homeless ON ledger (provider, recorded_at) WHERE account_id IS NULL AND source IN ('event', 'import');
