"""The model files that a bundle can hold."""

from asd_agent.inference.embedder import ModelFile

FILES: dict[str, ModelFile] = {
    "onnx-int8": ModelFile(file="model.int8.onnx", runtime="onnx", precision="int8"),
    "tflite-int8": ModelFile(
        file="model.int8.tflite", runtime="tflite", precision="int8"
    ),
    "onnx-float32": ModelFile(
        file="model.float32.onnx", runtime="onnx", precision="float32"
    ),
    "tflite-float32": ModelFile(
        file="model.float32.tflite", runtime="tflite", precision="float32"
    ),
}
"""Every model file by its name on the command line, in the order in which a
device prefers them. ONNX comes first: its int8 gives the same numbers on x86-64
and aarch64, so a bank made on a workstation holds on the device. LiteRT's int8
does not"""
