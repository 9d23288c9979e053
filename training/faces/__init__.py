"""From pictures to aligned faces: landmarks, detectors, and the transform to the mean face."""
