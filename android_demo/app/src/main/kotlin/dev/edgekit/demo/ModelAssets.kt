package dev.edgekit.demo

import android.content.res.AssetManager
import dev.edgekit.core.Contract
import dev.edgekit.core.ContractReader
import dev.edgekit.core.EdgekitException
import dev.edgekit.core.Labels
import dev.edgekit.core.OpenableModel
import java.io.FileInputStream
import java.io.FileNotFoundException
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.channels.FileChannel

/** Nothing was exported into this app. */
class NoModelException : EdgekitException("no model")

/** What edgekit export-android left in the app's assets. */
class ModelAssets private constructor(
    val quantized: OpenableModel,
    /** `null` where it was exported without. */
    val float: OpenableModel?,
    /** The run's report.json. */
    val report: String,
) {
    companion object {
        /** CPU threads: the big cores of most phones. */
        const val THREADS = 4
        private const val FOLDER = "edgekit"

        /** Reads all but the weights, which are mapped. Throws [EdgekitException]. */
        fun read(assets: AssetManager): ModelAssets {
            val names = assets.list(FOLDER).orEmpty().toSet()
            if ("model.tflite" !in names || "contract.json" !in names) throw NoModelException()
            try {
                val contract = ContractReader.read(text(assets, "contract.json"))
                val labels = Labels.parse(text(assets, contract.meaning.labels ?: "labels.txt"))
                return ModelAssets(
                    quantized = openable(assets, "model.tflite", contract, labels),
                    float =
                        if ("model.float.tflite" in names) {
                            openable(assets, "model.float.tflite", contract.float(), labels)
                        } else {
                            null
                        },
                    report = text(assets, "report.json"),
                )
            } catch (error: IOException) {
                throw EdgekitException("An exported file cannot be read: ${error.message}", error)
            }
        }

        private fun openable(
            assets: AssetManager,
            name: String,
            contract: Contract,
            labels: Labels,
        ): OpenableModel {
            val model = mapped(assets, name)
            return OpenableModel(contract, labels) { LiteRtEngine.open(model, it, THREADS) }
        }

        private fun mapped(
            assets: AssetManager,
            name: String,
        ): ByteBuffer =
            try {
                assets.openFd("$FOLDER/$name").use { file ->
                    FileInputStream(file.fileDescriptor).use { stream ->
                        stream.channel.map(FileChannel.MapMode.READ_ONLY, file.startOffset, file.declaredLength)
                    }
                }
            } catch (error: FileNotFoundException) {
                // Also said of a compressed asset.
                throw EdgekitException("$name cannot be mapped: it must be stored uncompressed.", error)
            }

        private fun text(
            assets: AssetManager,
            name: String,
        ): String = assets.open("$FOLDER/$name").use { it.readBytes().decodeToString() }
    }
}
