"""What can go wrong with a day of data, done on purpose, and the door that must notice."""
