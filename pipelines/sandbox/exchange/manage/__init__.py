"""`/manage/`: how people run the local exchange."""
