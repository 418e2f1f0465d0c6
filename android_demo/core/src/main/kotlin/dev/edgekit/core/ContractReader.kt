package dev.edgekit.core

/**
 * Reads contract.json. Every number and every formula in it is held against what this code does; a
 * contract that says anything else is refused, never half followed.
 */
object ContractReader {
    private const val LUMA = "(19595 * r + 38470 * g + 7471 * b + 32768) >> 16"
    private const val LONGER_SIDE = "truncate(shorter_side * longer / shorter) in float64"
    private const val RESIZING =
        "Pillow 8-bit: weights in 22-bit fixed point, horizontal pass then vertical, " +
            "each rounded and clipped to 0..255"
    private const val TOP = "round_half_even((image_height - height) / 2)"
    private const val LEFT = "round_half_even((image_width - width) / 2)"
    private const val NORMALISING = "(pixel / divisor - mean[c]) / std[c]"
    private const val ROUNDING = "float32, rounded after every operation"
    private const val MAX_ELEMENTS = 1 shl 28
    private const val TO_REAL = "scale * (stored - zero_point)"
    private const val TO_STORED = "clip(round_half_even(real / scale) + zero_point) to the range of dtype"

    /** Reads the [text] of a contract.json; throws [ContractException]. */
    fun read(text: String): Contract {
        val parsed =
            try {
                Json.parse(text)
            } catch (error: JsonException) {
                throw ContractException("contract.json is no JSON: ${error.message}.", error)
            }
        val root = parsed as? Map<*, *> ?: throw ContractException("contract.json is no JSON object.")
        return contract(JsonFields(root, "top level"))
    }

    private fun contract(root: JsonFields): Contract {
        val schema = root.int("schema")
        if (schema != Contract.SCHEMA) {
            throw ContractException(
                "contract.json has schema $schema and this app reads schema ${Contract.SCHEMA}: " +
                    "export the model and build the app with one version of edgekit.",
            )
        }
        root.fields("quantization").run {
            require("to_real", TO_REAL)
            require("to_stored", TO_STORED)
        }
        val outputs = root.objects("outputs").map(::tensor)
        val meaning = root.fields("meaning")
        val primary = meaning.text("primary_output")
        if (outputs.none { it.name == primary }) {
            meaning.fail("primary_output \"$primary\" is none of the outputs ${outputs.map { it.name }}")
        }
        return Contract(
            inputs = root.objects("inputs").map(::input),
            outputs = outputs,
            meaning = Meaning(meaning.text("task"), primary, meaning.textOrNull("labels")),
        )
    }

    private fun tensor(fields: JsonFields): TensorSpec {
        val id = fields.text("dtype")
        val dtype = DType.of(id) ?: fields.fail("dtype \"$id\" is none of ${DType.entries.map { it.id }}")
        val shape = fields.ints("shape")
        if (shape.any { it < 1 }) fields.fail("shape $shape is not fixed")
        if (shape.fold(1.0) { product, size -> product * size } > MAX_ELEMENTS) fields.fail("shape $shape is too large")
        val quantization =
            if (fields.has("scale")) Quantization(fields.float("scale"), fields.int("zero_point")) else null
        if (quantization != null && quantization.scale <= 0) fields.fail("scale is ${quantization.scale}, not positive")
        return TensorSpec(fields.text("name"), shape, dtype, quantization)
    }

    private fun input(fields: JsonFields): InputSpec {
        val tensor = tensor(fields)
        val steps = fields.objects("preprocess").map(::step)
        if (steps.isEmpty()) fields.fail("preprocess is empty: the model takes arrays, this code pictures")
        fields.require("layout", "NHWC")
        val layout = steps.last() as? Step.Layout ?: fields.fail("the last step is not layout")
        if (steps.first() != Step.Decode || steps.count { it is Step.Layout } > 1) {
            fields.fail("the steps do not go from decode to layout")
        }
        if (layout.shape != tensor.shape || tensor.shape.size != 4 || tensor.shape[0] != 1) {
            fields.fail("the steps give ${layout.shape}, the input takes ${tensor.shape}")
        }
        val normalised = steps.any { it is Step.Normalise }
        val fits = if (normalised) layout.dtype == DType.FLOAT32 else layout.dtype == tensor.dtype
        if (!fits || (tensor.dtype.range != null && normalised && tensor.quantization == null)) {
            fields.fail("no way leads from ${layout.dtype.id} to ${tensor.dtype.id}")
        }
        return InputSpec(tensor, steps)
    }

    private fun step(fields: JsonFields): Step =
        when (val op = fields.text("op")) {
            "decode" -> {
                fields.require("to", "RGB8")
                fields.require("exif_orientation", "applied")
                fields.require("alpha", "dropped")
                Step.Decode
            }

            "grey" -> {
                fields.require("luma", LUMA)
                Step.Grey
            }

            "resize" -> {
                resize(fields)
            }

            "centre_crop" -> {
                fields.require("top", TOP)
                fields.require("left", LEFT)
                Step.CentreCrop(fields.positiveInt("height"), fields.positiveInt("width"))
            }

            "reverse_channels" -> {
                fields.require("to", "BGR")
                Step.ReverseChannels
            }

            "normalise" -> {
                normalise(fields)
            }

            "layout" -> {
                fields.require("to", "NHWC")
                val id = fields.text("dtype")
                Step.Layout(fields.ints("shape"), DType.of(id) ?: fields.fail("dtype \"$id\" is unknown"))
            }

            else -> {
                fields.fail("op \"$op\" is no step on pictures that this code knows")
            }
        }

    private fun resize(fields: JsonFields): Step {
        fields.require("antialias", true)
        fields.require("arithmetic", RESIZING)
        val id = fields.text("filter")
        val filter =
            Filter.entries.firstOrNull { it.id == id }
                ?: fields.fail("filter \"$id\" is none of ${Filter.entries.map { it.id }}")
        if (!fields.has("shorter_side")) {
            return Step.Resize(fields.positiveInt("height"), fields.positiveInt("width"), filter)
        }
        fields.require("longer_side", LONGER_SIDE)
        return Step.ResizeShorterSide(fields.positiveInt("shorter_side"), filter)
    }

    private fun normalise(fields: JsonFields): Step {
        fields.require("formula", NORMALISING)
        fields.require("arithmetic", ROUNDING)
        val divisor = fields.float("divisor")
        val mean = fields.floats("mean")
        val std = fields.floats("std")
        if (divisor == 0f || std.any { it == 0f }) fields.fail("divisor and std must not be 0")
        if (mean.size != std.size) fields.fail("mean has ${mean.size} values, std ${std.size}")
        return Step.Normalise(divisor, mean, std)
    }
}
