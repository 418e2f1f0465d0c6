package dev.edgekit.demo

import android.app.Application
import android.graphics.Bitmap
import android.net.Uri
import android.os.Debug
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.viewModelScope
import dev.edgekit.core.Delegate
import dev.edgekit.core.EdgekitException
import dev.edgekit.core.ImageException
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch
import java.io.IOException
import java.util.concurrent.Executors

/** What the main screen shows. */
data class MainState(
    val isBusy: Boolean = false,
    val picture: Bitmap? = null,
    val answers: Answers? = null,
    val message: String? = null,
    val memoryMb: Double? = null,
)

/** Survives rotation. All that touches a model happens on one thread of its own. */
class MainViewModel(
    application: Application,
) : AndroidViewModel(application) {
    private val thread = Executors.newSingleThreadExecutor().asCoroutineDispatcher()
    private val mutableState = MutableStateFlow(MainState())
    private var classifiers: Classifiers? = null
    private var shown: Uri? = null

    val state: StateFlow<MainState> = mutableState.asStateFlow()

    /** Reads and classifies the picture at [uri], on [wanted] or the best delegate there is. */
    fun classify(
        uri: Uri,
        wanted: Delegate?,
    ) {
        shown = uri
        mutableState.update { it.copy(isBusy = true, message = null) }
        viewModelScope.launch(thread) {
            val next = answered(uri, wanted)
            mutableState.value = next
        }
    }

    /** The same picture again, on another delegate. */
    fun choose(wanted: Delegate?) {
        shown?.let { classify(it, wanted) }
    }

    /** Shows [message] in place of an answer. */
    fun say(message: String) {
        mutableState.update { it.copy(message = message) }
    }

    override fun onCleared() {
        // Behind what is still running: an engine is closed by the thread that made it.
        thread.executor.execute { classifiers?.close() }
        thread.close()
    }

    private fun answered(
        uri: Uri,
        wanted: Delegate?,
    ): MainState {
        var preview: Bitmap? = null
        return try {
            val picture = PictureReader(getApplication<Application>().contentResolver).read(uri)
            preview = bitmap(picture)
            val answers = opened().classify(picture.pixels, wanted)
            MainState(
                picture = preview,
                answers = answers,
                message = if (picture.isReduced) text(R.string.reduced, picture.fullWidth, picture.fullHeight) else null,
                memoryMb = Debug.getPss() / KB_PER_MB,
            )
        } catch (error: NoModelException) {
            MainState(picture = preview, message = text(R.string.error_no_model))
        } catch (error: ImageException) {
            MainState(picture = preview, message = text(R.string.error_read_picture, error.message.orEmpty()))
        } catch (error: EdgekitException) {
            MainState(picture = preview, message = text(R.string.error_model, error.message.orEmpty()))
        } catch (error: IOException) {
            MainState(message = text(R.string.error_read_picture, error.message ?: error.toString()))
        } catch (error: SecurityException) {
            MainState(message = text(R.string.error_not_allowed))
        } catch (error: OutOfMemoryError) {
            MainState(message = text(R.string.error_too_large))
        }
    }

    private fun opened(): Classifiers =
        classifiers ?: Classifiers(ModelAssets.read(getApplication<Application>().assets)).also { classifiers = it }

    private fun bitmap(picture: Picture): Bitmap {
        val preview = picture.pixels.preview(PREVIEW_SIDE)
        return Bitmap.createBitmap(preview.argb, preview.width, preview.height, Bitmap.Config.ARGB_8888)
    }

    private fun text(
        id: Int,
        vararg values: Any,
    ): String = getApplication<Application>().getString(id, *values)

    private companion object {
        const val PREVIEW_SIDE = 1024
        const val KB_PER_MB = 1024.0
    }
}
