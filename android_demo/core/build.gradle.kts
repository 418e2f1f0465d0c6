plugins {
    alias(libs.plugins.kotlin.jvm)
}

kotlin {
    jvmToolchain(17)
    compilerOptions.allWarningsAsErrors.set(true)
}

dependencies {
    testImplementation(libs.kotlin.test.junit)
}

tasks.test {
    // Golden vectors that edgekit export-android left in the app, if it was run.
    val golden = rootProject.file("app/src/test/resources/edgekit")
    if (golden.isDirectory) {
        inputs.dir(golden)
        systemProperty("edgekit.golden", golden.path)
    }
}
