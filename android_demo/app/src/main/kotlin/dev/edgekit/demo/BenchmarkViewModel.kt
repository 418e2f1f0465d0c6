package dev.edgekit.demo

import android.app.Application
import android.os.Build
import android.os.Debug
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.viewModelScope
import dev.edgekit.core.Benchmark
import dev.edgekit.core.DelegateMeasurement
import dev.edgekit.core.DeviceReport
import dev.edgekit.core.EdgekitException
import dev.edgekit.core.Phone
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch
import java.io.File
import java.io.IOException
import java.util.concurrent.Executors
import java.util.concurrent.atomic.AtomicBoolean

/** What the benchmark screen shows; [report] is there when it can be shared. */
data class BenchmarkState(
    val isRunning: Boolean = false,
    val rows: List<DelegateMeasurement> = emptyList(),
    val message: String? = null,
    val report: File? = null,
)

/** Runs on over a rotation, and stops when the app goes to the background. */
class BenchmarkViewModel(
    application: Application,
) : AndroidViewModel(application) {
    private val thread = Executors.newSingleThreadExecutor().asCoroutineDispatcher()
    private val mutableState = MutableStateFlow(BenchmarkState())
    private val isStopped = AtomicBoolean()

    val state: StateFlow<BenchmarkState> = mutableState.asStateFlow()

    /** Measures every delegate, from the beginning. */
    fun start() {
        if (mutableState.value.isRunning) return
        isStopped.set(false)
        mutableState.value = BenchmarkState(isRunning = true)
        viewModelScope.launch(thread) {
            val message =
                try {
                    measure()
                    if (isStopped.get()) text(R.string.benchmark_stopped) else null
                } catch (_: NoModelException) {
                    text(R.string.error_no_model)
                } catch (error: EdgekitException) {
                    text(R.string.error_model, error.message.orEmpty())
                } catch (error: IOException) {
                    text(R.string.error_share, error.message ?: error.toString())
                }
            mutableState.update { it.copy(isRunning = false, message = message) }
        }
    }

    /** Ends after the run under way; what was measured is kept. */
    fun stop() {
        isStopped.set(true)
    }

    override fun onCleared() {
        stop()
        thread.close()
    }

    private fun measure() {
        val assets = ModelAssets.read(getApplication<Application>().assets)
        val policy = Classifiers.policy(wanted = null, allowNnapi = true)
        val benchmark = Benchmark(assets.quantized, assets.float, policy, memoryMb = { Debug.getPss() / KB_PER_MB })
        val rows =
            benchmark.run(stop = isStopped::get) { row ->
                mutableState.update { it.copy(rows = it.rows + row) }
            }
        if (rows.isEmpty()) return
        val phone = Phone("${Build.MANUFACTURER} ${Build.MODEL}", Build.VERSION.SDK_INT)
        val file = SharedFiles.file(getApplication(), "report.json")
        file.writeText(DeviceReport.write(assets.report, phone, rows, ModelAssets.THREADS))
        mutableState.update { it.copy(report = file) }
    }

    private fun text(
        id: Int,
        vararg values: Any,
    ): String = getApplication<Application>().getString(id, *values)

    private companion object {
        const val KB_PER_MB = 1024.0
    }
}
