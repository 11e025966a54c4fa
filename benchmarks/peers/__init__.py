"""Programs that people would use instead of mmchat, each installed into an environment of its own."""
