"""What models read: named, point-in-time feature and label sets of one tenant."""

from ml.features.training_set import TrainingSet, feature_rows, snapshot_labels, training_set

__all__ = ["TrainingSet", "feature_rows", "snapshot_labels", "training_set"]
