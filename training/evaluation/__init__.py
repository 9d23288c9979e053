"""How good a training run's predictions are: F1, AUC, accuracy, and how sure that is."""
