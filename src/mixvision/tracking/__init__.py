"""What a run tells MLflow: written to a journal on disk, and sent from there while training goes on."""
