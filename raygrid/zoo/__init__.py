"""The built-in models, one a file. A new one is a file here and a line in ``MODELS``."""

from __future__ import annotations

# What ``--model`` calls each, and where its class is; ``raygrid`` offers the classes by their names.
MODELS = {
    "residual-regressor": "raygrid.zoo.residual_regressor:AutoencoderResidualRegressor",
    "autoencoder": "raygrid.zoo.autoencoder:Autoencoder",
    "detector": "raygrid.zoo.detector:AutoencoderDetector",
    "mlp-classifier": "raygrid.zoo.mlp_classifier:MLPClassifier",
    "mlp-regressor": "raygrid.zoo.mlp_regressor:MLPRegressor",
    "conv-autoencoder": "raygrid.zoo.conv_autoencoder:ConvAutoencoder",
}
