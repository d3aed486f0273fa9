-- API keys: enough to recognise one and to say what became of it, nothing to make one from.

CREATE TABLE keys (
    id            text PRIMARY KEY,
    name          text NOT NULL,
    scopes        text[] NOT NULL CHECK (cardinality(scopes) > 0),
    -- Peppered HMAC of id and secret. The pepper is a setting, so a copy of this table opens nothing.
    digest        bytea NOT NULL CHECK (octet_length(digest) = 32),
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz,
    -- In the future while a rotation's overlap lasts. A revoked key stays, so that there is something to look up.
    revoked_at    timestamptz,
    last_used_at  timestamptz,
    -- One successor each: two rotations at once must not leave a key that nobody was shown.
    rotated_from  text UNIQUE REFERENCES keys
);
CREATE INDEX keys_newest ON keys (created_at DESC, id DESC);
