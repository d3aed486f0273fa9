-- Project rules with their defaults, the names under which models were seen, and runs.

CREATE TABLE project_mappings (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pattern       text NOT NULL,
    project_name  text NOT NULL,
    priority      integer NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
INSERT INTO project_mappings (pattern, project_name, priority) VALUES
    ('peakpaws-*', 'PeakPaws', 10),
    ('kanban-*', 'Kanban Board', 10),
    ('trading-*', 'Trading Tools', 10),
    ('cost-tracker-*', 'Cost Tracker', 10),
    ('context-vault-*', 'Context Vault', 10),
    ('*', 'General', 0);

-- Every id a model was seen under, so that filters resolve dated ids without loading the price catalogue.
CREATE TABLE model_names (
    name   text PRIMARY KEY,
    model  text NOT NULL
);

CREATE TABLE runs (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job          text NOT NULL,
    status       text NOT NULL CHECK (status IN ('running', 'succeeded', 'partial', 'failed')),
    started_at   timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    finished_at  timestamptz,
    request      jsonb NOT NULL,
    result       jsonb NOT NULL DEFAULT '{}',
    error        text
);
