"""The built-in models, one a file."""

from __future__ import annotations

# What a model that needs a target predicts on the embedded data.
EMBEDDED_TARGETS = {"mlp-classifier": ["fault"], "mlp-regressor": ["stripper_underflow_E_concentration"]}

MODELS = {
    "residual-regressor": "raygrid.zoo.residual_regressor:AutoencoderResidualRegressor",
    "autoencoder": "raygrid.zoo.autoencoder:Autoencoder",
    "detector": "raygrid.zoo.detector:AutoencoderDetector",
    "mlp-classifier": "raygrid.zoo.mlp_classifier:MLPClassifier",
    "mlp-regressor": "raygrid.zoo.mlp_regressor:MLPRegressor",
    "conv-autoencoder": "raygrid.zoo.conv_autoencoder:ConvAutoencoder",
}
