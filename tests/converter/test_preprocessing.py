"""Pre-processing inside the file: vocabularies, strings, ragged tensors, audio and images, held against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.converter.oracle import compare, convert, expected_outputs, pytestmark_converter, run

pytestmark = pytestmark_converter

WORDS = np.array([b"The quick brown fox", b"", b"jumps over, the lazy   dog!"], object)
WAVE = np.random.default_rng(5).normal(size=(1, 800)).astype(np.float32)  # noise: no band is empty
IMAGE = np.random.default_rng(3).integers(0, 256, (2, 9, 7, 3)).astype(np.uint8)


def _padded(tf: Any, x: Any) -> Any:
    return tf.strings.split(x).to_tensor("<pad>")


def _ngrams(tf: Any, x: Any) -> Any:
    return tf.strings.ngrams(tf.strings.split(x), 2).to_tensor("")


def _characters(tf: Any, x: Any) -> Any:
    return tf.strings.unicode_decode(x, "UTF-8").to_tensor(-1)


def _cleaned(tf: Any, x: Any) -> Any:
    return tf.strings.regex_replace(tf.strings.lower(tf.strings.strip(x)), r"[^a-z ]", "")


def _ragged_sums(tf: Any, x: Any) -> Any:
    words = tf.strings.split(x)
    lengths = tf.ragged.map_flat_values(tf.strings.length, words)
    return {"sum": tf.reduce_sum(lengths, 1), "mean": tf.reduce_mean(tf.cast(lengths, tf.float32), 1),
            "rows": words.row_lengths(), "flat": lengths.values}  # fmt: skip


def _ragged_slices(tf: Any, x: Any) -> Any:
    words = tf.strings.split(x)
    return tf.concat([words[:, :2], words[:, -1:]], 1).to_tensor("")


def _mapped(tf: Any, x: Any) -> Any:
    """A loop over strings: a tensor list of them."""
    return tf.map_fn(lambda s: tf.strings.join([s, "!"]), x)


def _mapped_lengths(tf: Any, x: Any) -> Any:
    return tf.map_fn(lambda s: tf.size(tf.strings.split([s]).values), x, fn_output_signature=tf.int32)


def _mapped_ragged(tf: Any, x: Any) -> Any:
    spec = tf.RaggedTensorSpec([None], tf.string)
    return tf.map_fn(lambda s: tf.strings.split([s]).values, x, fn_output_signature=spec).to_tensor("")


def _hashed(tf: Any, x: Any) -> Any:
    return tf.strings.to_hash_bucket_fast(tf.strings.split(x).to_tensor(""), 1000)


STRINGS = {
    "lower, strip and replace": _cleaned,
    "split": _padded,
    "bigrams": _ngrams,
    "characters": _characters,
    "ragged reductions": _ragged_sums,
    "ragged slices": _ragged_slices,
    "map over strings": _mapped,
    "map to numbers": _mapped_lengths,
    "map to ragged rows": _mapped_ragged,
    "hashes": _hashed,
    "lengths and parts": lambda tf, x: (
        tf.strings.length(x, "UTF8_CHAR"),
        tf.strings.substr(tf.strings.join([x, "ab"]), 1, 1),
    ),
    "join": lambda tf, x: (tf.strings.join([x, x], "-"), tf.strings.reduce_join(x, separator="|")),
    "numbers from text": lambda tf, x: tf.strings.to_number(tf.strings.as_string(tf.strings.length(x))),
    "bytes": lambda tf, x: tf.io.decode_raw(tf.strings.substr(tf.strings.join([x, "abcd"]), 0, 4), tf.uint8),
    "unique": lambda tf, x: tuple(tf.unique_with_counts(tf.strings.split(x).values)),
    "comparison": lambda tf, x: (tf.equal(x, ""), tf.strings.regex_full_match(x, ".*fox")),
    "sparse": lambda tf, x: tf.sparse.to_dense(tf.strings.split(x).to_sparse(), ""),
}


def _mfcc(tf: Any, wave: Any) -> Any:
    spectrum = tf.abs(tf.signal.stft(wave, 256, 128))
    to_mel = tf.signal.linear_to_mel_weight_matrix(20, 129, 8000, 80.0, 3800.0)
    mel = tf.tensordot(spectrum, to_mel, 1)
    return tf.signal.mfccs_from_log_mel_spectrograms(tf.math.log(mel + 1e-2))[..., :13]


AUDIO = {
    "frames": lambda tf, x: tf.signal.frame(x, 100, 40, pad_end=True),
    "stft": lambda tf, x: tf.abs(tf.signal.stft(x, 128, 64, fft_length=128)),
    "istft": lambda tf, x: tf.signal.inverse_stft(tf.signal.stft(x, 128, 64, 128), 128, 64, 128),
    "mfcc": _mfcc,
    "dct": lambda tf, x: tf.signal.dct(x, type=2, norm="ortho"),
    "idct": lambda tf, x: tf.signal.idct(x, type=3),
    "fft": lambda tf, x: tf.abs(tf.signal.fft(tf.cast(x, tf.complex64))),
    "overlap": lambda tf, x: tf.signal.overlap_and_add(tf.signal.frame(x, 80, 40), 40),
    "windows": lambda tf, x: x[:, :64] * tf.signal.hamming_window(64) + tf.signal.kaiser_window(64),
    "spectrogram": lambda tf, x: tf.raw_ops.AudioSpectrogram(input=tf.transpose(x), window_size=128, stride=64),
}

IMAGES = {
    "float": lambda tf, x: tf.image.convert_image_dtype(x, tf.float32),
    "resize": lambda tf, x: tf.image.resize(x, [5, 4]) / 255.0,
    "resize bicubic": lambda tf, x: tf.image.resize(x, [12, 10], "bicubic"),
    "resize lanczos": lambda tf, x: tf.image.resize(x, [5, 4], "lanczos3", antialias=True),
    "resize area": lambda tf, x: tf.image.resize(x, [3, 3], "area"),
    "resize nearest": lambda tf, x: tf.image.resize(x, [4, 4], "nearest"),
    "resize with pad": lambda tf, x: tf.image.resize_with_pad(x, 8, 8),
    "crop or pad": lambda tf, x: tf.image.resize_with_crop_or_pad(x, 6, 10),
    "central crop": lambda tf, x: tf.image.central_crop(x, 0.5),
    "crop and resize": lambda tf, x: tf.image.crop_and_resize(
        tf.cast(x, tf.float32), [[0.1, 0.2, 0.8, 0.9]], [1], [4, 4]
    ),
    "flips": lambda tf, x: (
        tf.image.flip_left_right(x),
        tf.image.flip_up_down(x),
        tf.image.rot90(x),
        tf.image.transpose(x),
    ),
    "standardize": lambda tf, x: tf.image.per_image_standardization(tf.cast(x, tf.float32)),
    "grey": lambda tf, x: tf.image.rgb_to_grayscale(x),
    "colours": lambda tf, x: tf.image.adjust_saturation(
        tf.image.adjust_hue(
            tf.image.adjust_brightness(tf.image.adjust_contrast(tf.cast(x, tf.float32) / 255, 1.5), 0.1), 0.2
        ),
        0.7,
    ),
    "hsv": lambda tf, x: tf.image.rgb_to_hsv(tf.cast(x, tf.float32) / 255),
    "yuv": lambda tf, x: tf.image.rgb_to_yuv(tf.cast(x, tf.float32) / 255),
    "sobel": lambda tf, x: tf.image.sobel_edges(tf.cast(x, tf.float32)),
    "patches": lambda tf, x: tf.image.extract_patches(x, [1, 3, 3, 1], [1, 2, 2, 1], [1, 1, 1, 1], "VALID"),
    "total variation": lambda tf, x: tf.image.total_variation(tf.cast(x, tf.float32)),
    "ssim": lambda tf, x: tf.image.psnr(x, 255 - x, 255),
    "bounding boxes": lambda tf, x: tf.image.draw_bounding_boxes(
        tf.cast(x, tf.float32), [[[0.1, 0.1, 0.6, 0.6]]] * 2, [[1.0, 0.0, 0.0]]
    ),
    "gamma": lambda tf, x: tf.image.adjust_gamma(tf.cast(x, tf.float32) / 255, 2.2),
    "equalised": lambda tf, x: tf.cumsum(tf.histogram_fixed_width(tf.cast(x, tf.float32), [0.0, 255.0], 16)),
    "suppressed": lambda tf, x: tf.image.non_max_suppression(
        tf.constant([[0, 0, 1, 1], [0, 0, 1, 0.9], [2, 2, 3, 3]], tf.float32), tf.cast(x[0, 0, 0], tf.float32), 2
    ),
}


def check(function: Any, value: np.ndarray, tolerance: float) -> None:
    """Convert with unknown dimensions, and hold the results against TensorFlow's."""
    import tensorflow as tf

    kept = value.ndim - 1 if value.dtype != object else 0
    spec = tf.TensorSpec(
        [None] * (value.ndim - kept) + list(value.shape[value.ndim - kept :]), tf.as_dtype(value.dtype), name="x"
    )
    concrete = tf.function(lambda x: function(tf, x), input_signature=[spec], autograph=False).get_concrete_function()
    got = run(convert({"case": concrete}), "case", {"x": value})
    compare(got, expected_outputs(concrete(tf.constant(value))), tolerance)


@pytest.mark.parametrize("name", STRINGS)
def test_strings(name: str) -> None:
    check(STRINGS[name], WORDS, 1e-6)


@pytest.mark.parametrize("name", AUDIO)
def test_audio(name: str) -> None:
    check(AUDIO[name], WAVE, 1e-4)


@pytest.mark.parametrize("name", IMAGES)
def test_images(name: str) -> None:
    check(IMAGES[name], IMAGE, 1e-4)


def vocabulary(**options: Any) -> Any:
    import keras

    return keras.layers.StringLookup(vocabulary=["the", "quick", "fox"], **options)


def text_vectorizer(mode: str) -> Any:
    import keras

    layer = keras.layers.TextVectorization(output_mode=mode, ngrams=2 if mode == "multi_hot" else None,
                                           output_sequence_length=4 if mode == "int" else None)  # fmt: skip
    layer.adapt(["the quick brown fox", "the lazy dog", "over the dog"])
    return layer


LAYERS = {
    "lookup": lambda: vocabulary(),
    "lookup, several out of vocabulary": lambda: vocabulary(num_oov_indices=3),
    "lookup with a mask": lambda: vocabulary(mask_token=""),
    "lookup back": lambda: vocabulary(invert=True),
    "lookup as counts": lambda: vocabulary(output_mode="multi_hot"),
    "text to numbers": lambda: text_vectorizer("int"),
    "text to bigrams": lambda: text_vectorizer("multi_hot"),
    "text to weights": lambda: text_vectorizer("tf_idf"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_with_a_vocabulary(name: str) -> None:
    import tensorflow as tf

    layer = LAYERS[name]()
    kind = tf.int64 if name == "lookup back" else tf.string
    texts = np.array([b"the quick dog", b"fox", b"", b"over the lazy"], object)
    words = np.array([b"the", b"fox", b"dog", b""], object)
    value = np.int64([0, 2, 1, 3]) if name == "lookup back" else texts if name.startswith("text") else words
    function = tf.function(lambda x: layer(x), input_signature=[tf.TensorSpec([None], kind, name="x")])
    concrete = function.get_concrete_function()
    got = run(convert({"case": concrete}), "case", {"x": value})
    compare(got, expected_outputs(concrete(tf.constant(value))), 1e-5)


def test_numbers_looked_up_and_hashed() -> None:
    import keras
    import tensorflow as tf

    numbers, buckets = keras.layers.IntegerLookup(vocabulary=[10, 20, 30], num_oov_indices=2), keras.layers.Hashing(7)
    edges = keras.layers.Discretization(bin_boundaries=[0.0, 15.0, 25.0])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="x")])
    def case(x: Any) -> Any:
        return {"index": numbers(x), "bucket": buckets(x), "bin": edges(tf.cast(x, tf.float32))}

    value = np.int64([20, 5, 30, -1])
    compare(run(convert({"case": case}), "case", {"x": value}), expected_outputs(case(tf.constant(value))))


def test_a_static_vocabulary_with_buckets(tmp_path: Any) -> None:
    import tensorflow as tf

    file = tmp_path / "words.txt"
    file.write_text("the\nquick\nfox\n")
    entries = tf.lookup.TextFileInitializer(str(file), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64,
                                            tf.lookup.TextFileIndex.LINE_NUMBER)  # fmt: skip
    words = tf.lookup.StaticVocabularyTable(entries, 4)
    back = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(str(file), tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER, tf.string,
                                      tf.lookup.TextFileIndex.WHOLE_LINE), "?")  # fmt: skip

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])
    def case(x: Any) -> Any:
        index = words.lookup(tf.strings.split(x).values)
        return {"index": index, "words": back.lookup(index), "size": words.size()}

    value = np.array([b"the slow fox", b"quick"], object)
    expected = expected_outputs(case(tf.constant(value)))
    content = convert({"case": case})
    file.unlink()
    compare(run(content, "case", {"x": value}), expected)
