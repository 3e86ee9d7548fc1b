"""What ingestion shows: the page to look at before anything is trained."""
