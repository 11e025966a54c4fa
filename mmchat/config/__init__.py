"""Files a user may edit: models.toml and settings.toml."""
