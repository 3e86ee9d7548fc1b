"""From accuracies to tables, figures, contact sheets and one page that opens offline."""
