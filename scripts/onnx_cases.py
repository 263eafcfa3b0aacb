"""Writes the ONNX project's own backend tests into a folder: a model, its inputs and the outputs that it must give.

usage: onnx_cases.py FOLDER

    FOLDER/NAME/model.onnx
    FOLDER/NAME/0.in.npz      arrays named like inputs, in the order of `0.names`
    FOLDER/NAME/0.out.npz     arrays named like outputs
    FOLDER/skipped.txt        cases whose inputs or outputs are no tensors of a type that NumPy knows

bfloat16 is written as the 16-bit whole numbers of the same bits.
"""

import pathlib
import sys

import numpy
import onnx
from onnx import numpy_helper
from onnx.backend.test import loader
from onnx.backend.test.case import node

# Answers are drawn at random, or ONNX Runtime itself lists the case as one whose recorded answer it does not share
# (onnxruntime/test/testdata/onnx_backend_test_series_filters.jsonc).
LEFT_OUT = {
    "random": ("test_bernoulli", "test_training_dropout"),
    "disputed": (
        "test_maxunpool_export_with_output_shape",
        "test_resize_downsample_scales_cubic_align_corners",
        "test_resize_downsample_scales_linear_align_corners",
    ),
}
PLAIN = {numpy.dtype(kind) for kind in "e f d b B h H i I l L q Q ?".split()}


def plain(value, info):
    """Returns an array that NumPy can write without pickling, or nothing."""
    if not info.type.HasField("tensor_type"):
        return None
    if isinstance(value, onnx.TensorProto):
        value = numpy_helper.to_array(value)
    array = numpy.asarray(value)
    if info.type.tensor_type.elem_type == onnx.TensorProto.BFLOAT16:
        return array.view(numpy.uint16) if array.dtype.itemsize == 2 else None
    if info.type.tensor_type.elem_type == onnx.TensorProto.STRING:
        return numpy.array([text if isinstance(text, str) else text.decode() for text in array.ravel()], dtype="U").reshape(array.shape)
    return array if array.dtype in PLAIN else None


def write(folder, name, model, sets):
    """Writes a case; returns why it is none."""
    weights = {weight.name for weight in model.graph.initializer}
    given = [port for port in model.graph.input if port.name not in weights]
    place = folder / name
    for number, (inputs, outputs) in enumerate(sets):
        pairs = [
            [(port.name, plain(value, port)) for port, value in zip(ports, values, strict=False)]
            for ports, values in ((given, inputs), (model.graph.output, outputs))
        ]
        if not pairs[1] or any(array is None for pair in pairs for _, array in pair):
            return "no tensors of a plain type"
        place.mkdir(exist_ok=True)
        for pair, kind in zip(pairs, ("in", "out"), strict=True):
            numpy.savez(place / f"{number}.{kind}.npz", **{f"x{at}": array for at, (_, array) in enumerate(pair)})
        (place / f"{number}.in.names").write_text("\n".join(name for name, _ in pairs[0]))
        (place / f"{number}.out.names").write_text("\n".join(name for name, _ in pairs[1]))
    onnx.save(model, place / "model.onnx")
    return None


def sets_of(folder):
    """Reads the data sets beside a model of the wheel."""
    for data in sorted(pathlib.Path(folder).glob("test_data_set_*")):
        read = lambda kind: [  # noqa: E731
            onnx.load_tensor(str(data / f"{kind}_{at}.pb")) for at in range(len(list(data.glob(f"{kind}_*.pb"))))
        ]
        yield read("input"), read("output")


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    skipped = []
    cases = {case.name: (case.model, case.data_sets) for case in node.collect_testcases(None)}
    for kind in ("simple", "pytorch-operator", "pytorch-converted"):
        for case in loader.load_model_tests(kind=kind):
            try:
                cases[case.name] = (onnx.load(pathlib.Path(case.model_dir) / "model.onnx"), list(sets_of(case.model_dir)))
            except Exception as error:  # noqa: BLE001
                skipped.append(f"{case.name}: cannot be read: {error}")
    tolerances = {case.name: case.atol for case in node.collect_testcases(None)}
    for name, (model, sets) in sorted(cases.items()):
        why = next((why for why, starts in LEFT_OUT.items() if name.startswith(starts)), None)
        try:
            why = why or write(folder, name, model, sets)
            if not why:
                # Fourier transforms cancel, so that their zeros are as large as rounding leaves them.
                absolute = 1e-3 if "dft" in name or "stft" in name else max(tolerances.get(name) or 0, 1e-6)
                # Half of a quantum may be rounded up or down.
                absolute = 1 if "quantizelinear" in name else absolute
                (folder / name / "absolute").write_text(str(absolute))
        except Exception as error:  # noqa: BLE001
            why = f"cannot be written: {error}"
        if why:
            skipped.append(f"{name}: {why}")
    (folder / "skipped.txt").write_text("\n".join(skipped) + "\n")
    print(len(cases) - len(skipped), "cases,", len(skipped), "skipped")


main()
