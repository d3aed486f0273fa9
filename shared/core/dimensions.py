"""The names by which a bucket's dimensions hold the ids of its key and its workspace, whoever the provider is.

Whatever is stored of a bucket is found by them; a workspace is a project at some providers.
"""

from __future__ import annotations

KEY = ("api_key_id",)
WORKSPACE = ("workspace_id", "project_id")
