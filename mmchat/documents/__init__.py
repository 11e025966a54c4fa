"""Documents of the user's, read and cut into passages along their headings."""
