package dev.edgekit.demo

import android.content.ActivityNotFoundException
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import android.view.View
import android.widget.AdapterView
import android.widget.Button
import android.widget.ImageView
import android.widget.Spinner
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.PickVisualMediaRequest
import androidx.activity.result.contract.ActivityResultContracts.PickVisualMedia
import androidx.activity.result.contract.ActivityResultContracts.TakePicture
import androidx.core.content.FileProvider
import androidx.lifecycle.Lifecycle
import androidx.lifecycle.ViewModelProvider
import androidx.lifecycle.lifecycleScope
import androidx.lifecycle.repeatOnLifecycle
import dev.edgekit.core.Delegate
import kotlinx.coroutines.launch
import java.text.NumberFormat

/** Choose or take a picture, and see what both models say of it. */
class MainActivity : ComponentActivity() {
    private val model by lazy { ViewModelProvider(this)[MainViewModel::class.java] }
    private val percent = NumberFormat.getPercentInstance().apply { maximumFractionDigits = 1 }

    // The process may be gone while the camera is in front.
    private var shot: Uri? = null

    private val pick =
        registerForActivityResult(PickVisualMedia()) { uri ->
            if (uri != null) model.classify(uri, wanted())
        }

    private val shoot =
        registerForActivityResult(TakePicture()) { isTaken ->
            val uri = shot
            if (isTaken && uri != null) model.classify(uri, wanted()) else model.say(getString(R.string.error_no_picture))
        }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_main)
        shot = savedInstanceState?.getString(SHOT)?.let(Uri::parse)
        button(R.id.pick).setOnClickListener {
            pick.launch(PickVisualMediaRequest(PickVisualMedia.ImageOnly))
        }
        button(R.id.shoot).setOnClickListener { takePicture() }
        button(R.id.benchmark).setOnClickListener {
            startActivity(Intent(this, BenchmarkActivity::class.java))
        }
        findViewById<Spinner>(R.id.delegate).onItemSelectedListener = Choice()
        lifecycleScope.launch {
            repeatOnLifecycle(Lifecycle.State.STARTED) { model.state.collect(::show) }
        }
    }

    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        outState.putString(SHOT, shot?.toString())
    }

    private fun takePicture() {
        val file = SharedFiles.file(this, "shot.jpg")
        val uri = FileProvider.getUriForFile(this, SharedFiles.authority(this), file)
        shot = uri
        try {
            shoot.launch(uri)
        } catch (_: ActivityNotFoundException) {
            model.say(getString(R.string.error_no_camera))
        }
    }

    private fun show(state: MainState) {
        findViewById<View>(R.id.busy).visibility = if (state.isBusy) View.VISIBLE else View.GONE
        for (id in listOf(R.id.pick, R.id.shoot, R.id.benchmark, R.id.delegate)) {
            findViewById<View>(id).isEnabled = !state.isBusy
        }
        findViewById<ImageView>(R.id.picture).run {
            setImageBitmap(state.picture)
            visibility = if (state.picture == null) View.GONE else View.VISIBLE
        }
        val answers = state.answers
        val isFirst = answers == null && !state.isBusy
        text(R.id.message).text = state.message ?: if (isFirst) getString(R.string.start) else ""
        text(R.id.quantized).text = answers?.let { described(R.string.quantized, it.quantized) }.orEmpty()
        text(R.id.float_model).text =
            when {
                answers == null -> ""
                answers.float != null -> described(R.string.float_model, answers.float)
                answers.floatFailure != null -> getString(R.string.float_failed, answers.floatFailure)
                else -> getString(R.string.no_float)
            }
        text(R.id.memory).text = state.memoryMb?.let { getString(R.string.memory, it) }.orEmpty()
    }

    private fun described(
        title: Int,
        answer: Answer,
    ): String {
        val found = answer.classification
        val lines = mutableListOf(getString(title))
        found.top.mapTo(lines) { getString(R.string.ranked, it.label, percent.format(it.confidence.toDouble())) }
        lines += getString(R.string.inference, found.inferenceMs, answer.effective.id)
        lines += getString(R.string.preprocessing, found.preprocessMs)
        answer.fallback?.let { lines += getString(R.string.fell_back, answer.requested.id, it) }
        return lines.joinToString("\n")
    }

    private fun wanted(): Delegate? = delegateAt(findViewById<Spinner>(R.id.delegate).selectedItemPosition)

    /** The first entry of the list is the best there is. */
    private fun delegateAt(position: Int): Delegate? = Delegate.entries.getOrNull(position - 1)

    private fun button(id: Int): Button = findViewById(id)

    private fun text(id: Int): TextView = findViewById(id)

    private inner class Choice : AdapterView.OnItemSelectedListener {
        // The list reports what it shows once it is laid out, which is no choice.
        private var last: Int? = null

        override fun onItemSelected(
            parent: AdapterView<*>?,
            view: View?,
            position: Int,
            id: Long,
        ) {
            if (last != null && last != position) model.choose(delegateAt(position))
            last = position
        }

        override fun onNothingSelected(parent: AdapterView<*>?) = Unit
    }

    private companion object {
        const val SHOT = "shot"
    }
}
