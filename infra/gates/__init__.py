"""Gates that template.yaml passes before anybody deploys it: two lints, SAM's own translation, and rules of ours."""
