"""Key figures: read, exported, made into a workbook."""
