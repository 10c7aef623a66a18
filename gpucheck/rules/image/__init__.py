"""Rules of an image, before it runs here."""
