package dev.edgekit.demo

import android.content.Context
import java.io.File

/** Files that other apps are let in to, one by one: the camera's picture and the report. */
object SharedFiles {
    /** See the manifest. */
    fun authority(context: Context): String = "${context.packageName}.files"

    /** A file of that [name]; its folder is there. */
    fun file(
        context: Context,
        name: String,
    ): File = File(context.cacheDir, "shared").apply { mkdirs() }.resolve(name)
}
