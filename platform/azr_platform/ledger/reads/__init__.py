"""The reader's queries, by what they are about; reader.py is their one door."""
