@file:Suppress("unused", "UNUSED_PARAMETER", "UnusedReceiverParameter", "RedundantSuspendModifier")

package androidx.lifecycle

import android.app.Application
import kotlinx.coroutines.CoroutineScope

abstract class Lifecycle {
    enum class State { DESTROYED, INITIALIZED, CREATED, STARTED, RESUMED }
}

interface LifecycleOwner

interface ViewModelStoreOwner

abstract class ViewModel {
    protected open fun onCleared() {}
}

open class AndroidViewModel(private val application: Application) : ViewModel() {
    @Suppress("UNCHECKED_CAST")
    open fun <T : Application> getApplication(): T = application as T
}

open class ViewModelProvider(owner: ViewModelStoreOwner) {
    open operator fun <T : ViewModel> get(modelClass: Class<T>): T = throw NotImplementedError()
}

val ViewModel.viewModelScope: CoroutineScope get() = throw NotImplementedError()

val LifecycleOwner.lifecycleScope: CoroutineScope get() = throw NotImplementedError()

suspend fun LifecycleOwner.repeatOnLifecycle(
    state: Lifecycle.State,
    block: suspend CoroutineScope.() -> Unit,
): Unit = throw NotImplementedError()
