"""Models behind protocols: language, speech, vision, text embedding."""
