"""A model that tells what Keras is set to where it builds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from small_models import SmallModel, dense_model


class Reporting(SmallModel):
    """Writes what Keras is set to where it builds."""

    def __init__(self, *args: Any, found: str, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.found = found

    def build_model(self, config: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
        import keras

        values = [keras.config.dtype_policy().name, keras.config.epsilon(), keras.config.image_data_format()]
        Path(self.found).write_text(json.dumps(values))
        return dense_model(config, input_shape)
