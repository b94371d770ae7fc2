"""What every part shares: records, the database and its migrations, file formats."""
