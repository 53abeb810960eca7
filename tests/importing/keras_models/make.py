"""Makes the files beside it, with Keras 3 on torch: models with weights and what they give.

No test needs Keras. To make the files again: `KERAS_BACKEND=torch python make.py`, where keras is
installed besides torch. `applications.tar.xz` holds what `model.to_json()` gives for applications
as they are published, `models.tar.xz` small models as `model.save` writes them, and their outputs.
"""

from __future__ import annotations

import io
import math
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import Input, Model, Sequential
from keras import layers as of
from safetensors.numpy import save

HERE = Path(__file__).parent
APPLICATIONS = (
    "ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "InceptionV3", "MobileNet", "MobileNetV2",
    "MobileNetV3Small", "ResNet50", "ResNet50V2", "VGG16", "Xception",
)  # fmt: skip
ROWS: dict[str, tuple[Any, ...]] = {
    "conv_same": (
        Input((9, 8, 3)), of.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
        of.Conv2D(5, 2, padding="same"), of.MaxPooling2D(2, padding="same"), of.Flatten(),
        of.Dropout(0.3), of.Dense(3, activation="softmax"),
    ),
    "pooling": (
        Input((7, 7, 3)), of.MaxPooling2D(2, padding="same"),
        of.AveragePooling2D(3, strides=1, padding="same"), of.AveragePooling2D(2), of.Flatten(),
    ),
    "flat_norm": (
        Input((5, 4, 3)), of.Conv2D(4, 2), of.Flatten(), of.BatchNormalization(), of.ReLU(),
        of.Dense(3),
    ),
    "flat_end": (Input((5, 4, 3)), of.Conv2D(4, 2), of.Flatten()),
    "norms": (
        Input((5, 4, 4)), of.BatchNormalization(scale=False), of.BatchNormalization(center=False),
        of.BatchNormalization(scale=False, center=False),
        of.BatchNormalization(momentum=0.9, epsilon=1e-5), of.GroupNormalization(2),
        of.LayerNormalization(), of.UnitNormalization(), of.SpatialDropout2D(0.2),
    ),
    "norm_vector": (
        Input((6,)), of.Dense(5), of.BatchNormalization(scale=False), of.LeakyReLU(), of.Dense(2),
    ),
    "depthwise": (
        Input((8, 8, 3)), of.DepthwiseConv2D(3, depth_multiplier=2, strides=2, padding="same"),
        of.SeparableConv2D(5, 3, padding="same", depth_multiplier=2, activation="relu6"),
        of.GlobalAveragePooling2D(keepdims=True),
    ),
    "transposed": (
        Input((4, 5, 3)), of.Conv2DTranspose(4, 3, strides=2, padding="same"),
        of.Conv2DTranspose(4, 4, strides=2, padding="same"), of.Conv2DTranspose(2, 2, strides=3),
        of.GlobalMaxPooling2D(),
    ),
    "sizes": (
        Input((4, 5, 3)), of.UpSampling2D(2), of.UpSampling2D((2, 3), interpolation="bilinear"),
        of.Cropping2D(((1, 0), (2, 1))), of.ZeroPadding2D(((1, 0), (2, 1))), of.MaxPooling2D(4),
    ),
    "functions": (
        Input((6,)), of.Dense(8, activation="gelu"), of.Dense(8, activation="hard_sigmoid"),
        of.Dense(8, activation="swish"), of.Dense(8, activation="elu"),
        of.Dense(8, activation="selu"), of.Dense(8, activation="softplus"),
        of.Dense(8, activation="leaky_relu"), of.Dense(8, activation=of.LeakyReLU()), of.PReLU(),
        of.ELU(0.5), of.Softmax(),
    ),
    "functions_of_images": (
        Input((6, 5, 3)), of.PReLU(shared_axes=[1, 2]), of.Activation("softmax"),
        of.ReLU(max_value=3),
    ),
    "recurrent": (
        Input((7, 4)), of.LSTM(5, return_sequences=True),
        of.Bidirectional(of.GRU(3, return_sequences=True)), of.GRU(4, return_sequences=True),
        of.TimeDistributed(of.Dense(3, activation="relu")), of.Bidirectional(of.LSTM(5)),
        of.Dense(2),
    ),
    "recurrent_plain": (
        Input((7, 4)), of.SimpleRNN(5, return_sequences=True), of.GRU(3, use_bias=False),
    ),
    "words": (Input((7,), dtype="int32"), of.Embedding(11, 6), of.LSTM(4), of.Dense(3)),
    "sequence": (
        Input((12, 4)), of.Conv1D(6, 3, padding="causal", dilation_rate=2), of.MaxPooling1D(2),
        of.BatchNormalization(), of.Conv1D(3, 3, padding="same", strides=2),
        of.LayerNormalization(), of.GlobalMaxPooling1D(), of.Dense(2),
    ),
    "volume": (
        Input((6, 6, 6, 2)), of.Conv3D(4, 3), of.MaxPooling3D(2),
        of.Conv3DTranspose(2, 3, strides=2, padding="same"), of.GlobalAveragePooling3D(),
    ),
    "shapes": (
        Input((24,)), of.Dense(24), of.Reshape((2, 3, 4)), of.Conv2D(5, 2), of.Permute((3, 1, 2)),
        of.Reshape((-1,)), of.RepeatVector(3), of.Flatten(),
    ),
    "front": (
        Input((6, 5, 3)), of.Rescaling([0.5, 0.25, 2.0], offset=[0.0, 1.0, 2.0]),
        of.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 0.5, 1.0]), of.Rescaling(1 / 255.0),
        of.Normalization(), of.Conv2D(3, 2),
    ),
}  # fmt: skip


def attention() -> Model:
    x = Input((6, 8))
    y = of.LayerNormalization()(of.Add()([x, of.MultiHeadAttention(2, 4)(x, x)]))
    z = of.MultiHeadAttention(2, 3, value_dim=5, dropout=0.1)(y, y, use_causal_mask=True)
    return Model(x, of.Dense(3)(z))


def two_of_each() -> Model:
    left, right = Input((4,), name="left"), Input((5,), name="right")
    x = of.Concatenate()([of.Dense(3)(left), of.Dense(4)(right)])
    return Model([left, right], [of.Dense(2, name="p")(x), of.Dense(1, name="q")(x)])


def nested() -> Model:
    inner = Sequential(
        [Input((4, 4, 8)), of.Conv2D(8, 3, padding="same"), of.BatchNormalization(), of.ReLU()]
    )
    image, b = Input((8, 8, 3)), Input((4, 4, 8))
    added = Model(b, of.Add()([b, of.Conv2D(8, 1)(b)]))
    x = inner(inner(of.Conv2D(8, 3, strides=2, padding="same")(image)))
    return Model(image, of.GlobalAveragePooling2D()(added(x)))


def towers() -> Model:
    tower = Sequential([Input((4,)), of.Dense(5, activation="tanh"), of.Dense(3)], name="tower")
    a, b = Input((4,)), Input((4,))
    return Model([a, b], of.Dense(1)(of.Subtract()([tower(a), tower(b)])))


def operations() -> Model:
    a = Input((6, 6, 4))
    x = 2.0 - keras.ops.relu(of.Conv2D(4, 3)(a) * 0.5 + 1.0)
    x = x / keras.ops.sigmoid(x)
    return Model(a, of.Maximum()([x, x * x]))


def gate() -> Model:
    a = Input((6, 6, 8))
    s = of.Reshape((1, 1, 8))(of.GlobalAveragePooling2D()(a))
    s = of.Dense(8, activation="sigmoid")(of.Dense(2, activation="relu")(s))
    return Model(a, of.Multiply()([a, s]))


def there_and_back() -> Model:
    a = Input((8, 8, 1))
    x = of.Conv2D(4, 3, activation="relu", padding="same")(a)
    x = of.Dense(5)(of.Flatten()(of.MaxPooling2D(2, padding="same")(x)))
    x = of.Reshape((4, 4, 4))(of.Dense(64)(x))
    x = of.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid")(x)
    return Model(a, x)


def flat_and_not() -> Model:
    a = Input((4, 4, 3))
    flat = of.Flatten()(of.Conv2D(2, 2)(a))
    return Model(a, of.Dense(4)(of.Concatenate()([flat, of.GlobalMaxPooling2D()(a)])))


def halves() -> Model:
    a = Input((4, 4, 3))
    top, rest = of.Cropping2D(((0, 2), (0, 0)))(a), of.Cropping2D(((2, 0), (0, 0)))(a)
    return Model(a, of.Average()([of.Conv2D(3, 1)(a), a, of.Concatenate(axis=1)([top, rest])]))


GRAPHS: tuple[Callable[[], Model], ...] = (
    attention, two_of_each, nested, towers, operations, gate, there_and_back, flat_and_not, halves
)  # fmt: skip


def sample(shape: tuple[int, ...], whole: bool) -> Any:
    """Return what comes in, as the test makes it: two samples."""
    count = math.prod((2, *shape))
    if whole:
        return (np.arange(count) * 3 % 5).reshape(2, *shape)
    return np.sin(np.arange(count, dtype=np.float64)).astype("float32").reshape(2, *shape)


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file to an archive, the same one whenever it is made."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def weights(model: Model) -> list[Any]:
    """Return weights of few bits, so that they can be packed."""
    random = np.random.default_rng(0)
    found = []
    for one in model.get_weights():
        low, high = (-8, 8) if one.ndim > 1 else (4, 12)
        found.append((random.integers(low, high, one.shape) / 8).astype(one.dtype))
    return found


def main() -> None:
    """Write both archives."""
    with tarfile.open(HERE / "applications.tar.xz", "w:xz", preset=9) as archive:
        for name in APPLICATIONS:
            keras.utils.clear_session()
            model = getattr(keras.applications, name)(weights=None)
            add(archive, f"{name}.json", model.to_json().encode())
            print(f'    "{name}": {model.count_params()},')
    outputs: dict[str, Any] = {}
    models = {name: Sequential([*row]) for name, row in ROWS.items()}
    with (
        tempfile.TemporaryDirectory() as folder,
        tarfile.open(HERE / "models.tar.xz", "w:xz", preset=9) as archive,
    ):
        for name, model in {**models, **{one.__name__: one() for one in GRAPHS}}.items():
            model.set_weights(weights(model))
            path = Path(folder, f"{name}.keras")
            model.save(path)
            add(archive, path.name, path.read_bytes())
            given = [sample(tuple(one.shape[1:]), "int" in one.dtype) for one in model.inputs]
            found = model(given if len(given) > 1 else given[0], training=False)
            for number, one in enumerate(found if isinstance(found, list) else [found]):
                outputs[f"{name}.{number}"] = np.ascontiguousarray(one.detach().cpu().numpy())
            print(f'    "{name}": {model.count_params()},')
        add(archive, "outputs.safetensors", save(outputs))


if __name__ == "__main__":
    main()
