"""From predictions to accuracies, intervals and mistakes: pure functions of data frames."""
