package dev.edgekit.core

import java.io.File
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

/** Each folder in the system property `edgekit.golden` is one that Python wrote. */
class GoldenVectorsTest {
    private val folders =
        System
            .getProperty("edgekit.golden")
            .orEmpty()
            .split(File.pathSeparator)
            .filter(String::isNotEmpty)
            .map(::File)

    private fun contract(folder: File): Contract = ContractReader.read(File(folder, "contract.json").readText())

    private fun golden(
        folder: File,
        change: (String, ByteArray) -> ByteArray = { _, bytes -> bytes },
    ) = GoldenVectors { name -> change(name, File(folder, name).readBytes()) }

    @Test
    fun `what Python computed is computed again, to the byte`() {
        for (folder in folders) {
            val golden = golden(folder)
            val labels = Labels.parse(File(folder, "labels.txt").readText())
            assertTrue(golden.names.isNotEmpty())
            for (name in golden.names) {
                assertEquals(emptyList(), golden.differences(name, contract(folder), labels), "${folder.name}: $name")
            }
            println("${golden.names.size} golden vectors equal in ${folder.name}")
        }
    }

    @Test
    fun `one changed byte is found`() {
        for (folder in folders) {
            val changed =
                golden(folder) { name, bytes ->
                    bytes.also { if (name.endsWith(".tensor") || name.endsWith(".answer")) it[it.size / 2]++ }
                }
            val differences = changed.differences(changed.names.first(), contract(folder), null)
            assertTrue(differences.any { it.startsWith("tensor: 1 of ") }, "$differences")
        }
    }

    @Test
    fun `another schema is refused`() {
        assertFailsWith<ContractException> { GoldenVectors { """{"schema": 7, "vectors": []}""".encodeToByteArray() } }
    }
}
