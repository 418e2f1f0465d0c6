package dev.edgekit.demo

import android.content.Intent
import android.os.Bundle
import android.view.View
import android.widget.Button
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.core.content.FileProvider
import androidx.lifecycle.Lifecycle
import androidx.lifecycle.ViewModelProvider
import androidx.lifecycle.lifecycleScope
import androidx.lifecycle.repeatOnLifecycle
import dev.edgekit.core.DelegateMeasurement
import kotlinx.coroutines.launch
import java.io.File

/** Times every delegate and shares what came of it as edgekit's report.json. */
class BenchmarkActivity : ComponentActivity() {
    private val model by lazy { ViewModelProvider(this)[BenchmarkViewModel::class.java] }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_benchmark)
        button(R.id.run).setOnClickListener {
            if (model.state.value.isRunning) model.stop() else model.start()
        }
        button(R.id.share).setOnClickListener {
            model.state.value.report
                ?.let(::share)
        }
        lifecycleScope.launch {
            repeatOnLifecycle(Lifecycle.State.STARTED) { model.state.collect(::show) }
        }
    }

    override fun onStop() {
        super.onStop()
        // Times taken in the background say nothing.
        if (!isChangingConfigurations) model.stop()
    }

    private fun show(state: BenchmarkState) {
        button(R.id.run).setText(if (state.isRunning) R.string.stop else R.string.run_benchmark)
        button(R.id.share).isEnabled = state.report != null && !state.isRunning
        findViewById<View>(R.id.busy).visibility = if (state.isRunning) View.VISIBLE else View.GONE
        findViewById<TextView>(R.id.message).text = state.message.orEmpty()
        findViewById<TextView>(R.id.rows).text = state.rows.joinToString("\n\n", transform = ::described)
    }

    private fun described(row: DelegateMeasurement): String {
        val times = row.quantized ?: return getString(R.string.row_failed, row.requested.id, row.failure.orEmpty())
        val lines =
            mutableListOf(
                getString(R.string.row_times, row.requested.id, times.medianMs, times.p90Ms, row.effective?.id.orEmpty()),
            )
        row.float?.let { lines += getString(R.string.row_float, it.medianMs, it.medianMs / times.medianMs) }
        row.fallback?.let { lines += getString(R.string.fell_back, row.requested.id, it) }
        lines += row.warnings
        row.memoryMb?.let { lines += getString(R.string.memory, it) }
        return lines.joinToString("\n")
    }

    private fun share(report: File) {
        val uri = FileProvider.getUriForFile(this, SharedFiles.authority(this), report)
        val send =
            Intent(Intent.ACTION_SEND)
                .setType("application/json")
                .putExtra(Intent.EXTRA_STREAM, uri)
                .addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
        startActivity(Intent.createChooser(send, getString(R.string.share)))
    }

    private fun button(id: Int): Button = findViewById(id)
}
