"""Small networks that see images of 32 x 32, for tests of seeing."""

SMALL = """network small(classes: int = 5) { input image: [3, 32, 32]
  c1: Conv2d(8, 5, stride = 2, padding = 2) -> ReLU
  c2: Conv2d(12, 3, padding = 1) -> ReLU
  pool: MaxPool2d(2)
  c3: Conv2d(16, 3, padding = 1) -> ReLU
  Flatten
  fc6: Linear(20) -> ReLU
  fc: Linear(classes)
}"""
MEANS = """network means(classes: int = 5) { input image: [3, 32, 32]
  c1: Conv2d(8, 5, stride = 2, padding = 2) -> ReLU
  residual { Conv2d(8, 3, padding = 1) -> BatchNorm2d } -> ReLU
  c2: Conv2d(12, 3, padding = 1) -> ReLU
  AdaptiveAvgPool2d(1) -> Flatten -> Dropout(0.5)
  fc: Linear(classes)
}"""
