"""Each breach that tools/check promises to refuse is planted in a copy of a folder, and refused."""

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent

VALUE_HEADER = """#pragma once

namespace weighbridge::base {{

{body}

}}  // namespace weighbridge::base
"""


class CheckTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        for name in ("tools/check", "layers.txt", "CMakePresets.json",
                     "src/base/range.h", "src/base/units.h", "src/base/units.cc",
                     "src/sync/guarded.h"):
            self.copy(name)
        # What is planted below is short rather than well laid out.
        self.plant(".clang-format", "DisableFormat: true\n")

    def copy(self, name):
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCE / name, self.root / name)

    def plant(self, path, text):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def check(self):
        return subprocess.run([self.root / "tools/check"], capture_output=True, text=True,
                              check=False)

    def assert_accepts(self, path, text):
        self.plant(path, text)
        done = self.check()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def assert_refuses(self, path, text, expected):
        """`expected` begins with the line: "3: message"."""
        self.plant(path, text)
        done = self.check()
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(f"{path}:{expected}", done.stdout)

    def test_a_clean_tree_passes(self):
        done = self.check()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("0 breaches", done.stdout)

    # Layers.

    def test_an_upward_include_is_refused(self):
        self.assert_refuses("src/base/planted.cc", '#include "sync/guarded.h"\n',
                            "1: base may not include \"sync/guarded.h\"")

    def test_an_upward_include_that_a_raw_path_hides_is_refused(self):
        self.assert_refuses("src/base/planted.cc", '#include "../sync/guarded.h"\n',
                            "1: write \"<folder>/<name>.h\"")

    def test_a_downward_include_passes(self):
        self.assert_accepts("src/sync/planted.cc", '#include "base/range.h"\n')

    def test_a_third_party_header_is_refused_outside_its_owner(self):
        self.assert_refuses("src/base/planted.cc", "#include <curl/curl.h>\n",
                            "1: <curl/curl.h> belongs to net")

    def test_a_third_party_header_without_an_owner_is_refused(self):
        self.assert_refuses("src/base/planted.cc", "#include <lz4.h>\n",
                            "1: <lz4.h> has no owner")

    def test_a_header_that_is_free_to_all_passes(self):
        self.assert_accepts("src/sync/planted.cc", "#include <fmt/format.h>\n")

    def test_a_fake_is_refused_in_the_product(self):
        self.assert_refuses("src/net/planted.cc", '#include "testing/server.h"\n',
                            "1: \"testing/server.h\" is for tests")
        self.assert_refuses("src/net/planted.cc", '#include "base/testing/fake.h"\n',
                            "1: \"base/testing/fake.h\" is for tests")

    def test_a_fake_passes_in_a_test_and_in_another_fake(self):
        self.assert_accepts("src/net/planted_test.cc", '#include "testing/server.h"\n')
        self.assert_accepts("src/net/testing/planted.cc", '#include "testing/server.h"\n')
        self.assert_accepts("fuzz/planted_fuzz.cc", '#include "testing/server.h"\n')

    def test_a_test_obeys_the_layers_too(self):
        self.assert_refuses("src/base/planted_test.cc", '#include "sync/guarded.h"\n',
                            "1: base may not include")

    def test_a_folder_that_lists_what_stands_above_it_is_refused(self):
        self.assert_refuses("layers.txt", "base: sync\nsync: base\n",
                            "1: base lists sync, which does not stand below it")

    def test_a_folder_without_a_line_is_refused(self):
        self.plant("src/strange/planted.cc", "\n")
        self.assertIn("src/strange has no line", self.check().stdout)

    # Sizes.

    def test_a_file_of_601_lines_is_refused(self):
        self.assert_accepts("src/base/planted.cc", "// A line.\n" * 600)
        self.assert_refuses("src/base/planted.cc", "// A line.\n" * 601, "601: 601 lines")

    def function_of(self, lines):
        return "int planted() {\n" + "  // {\n" * (lines - 3) + "  return '}';\n}\n"

    def test_a_function_of_71_lines_is_refused(self):
        self.assert_accepts("src/base/planted.cc", self.function_of(70))
        self.assert_refuses("src/base/planted.cc", self.function_of(71),
                            "1: a function of 71 lines")

    def test_a_long_table_is_no_function(self):
        self.assert_accepts("src/base/planted.cc",
                            "constexpr int kTable[] = {\n" + "    1000,\n" * 100 + "};\n")

    # Headers.

    def test_a_class_without_a_comment_is_refused(self):
        self.assert_refuses("src/base/planted.h", VALUE_HEADER.format(body="class Planted {};"),
                            "5: class Planted has no comment")

    def test_a_class_without_its_thread_word_is_refused(self):
        self.assert_refuses("src/base/planted.h",
                            VALUE_HEADER.format(body="// Something.\nclass Planted {};"),
                            "6: the comment of class Planted lacks its thread word")

    def test_a_documented_class_and_a_plain_struct_pass(self):
        body = ("// Something. Thread-compatible.\ntemplate <typename T>\nclass Planted {};\n\n"
                "struct Plain {};")
        self.assert_accepts("src/base/planted.h", VALUE_HEADER.format(body=body))

    def test_a_header_without_pragma_once_is_refused(self):
        self.assert_refuses("src/base/planted.h", "int planted();\n", "1: a header begins with")

    def test_using_namespace_in_a_header_is_refused(self):
        self.assert_refuses("src/base/planted.h", "#pragma once\nusing namespace std;\n",
                            "2: no `using namespace`")

    # Banned calls.

    def test_banned_calls_are_refused(self):
        for statement, message in (
                ("std::this_thread::sleep_for(wait);", "no sleeping"),
                ("std::this_thread::sleep_until(end);", "no sleeping"),
                ("thread.detach();", "no detached thread"),
                ("return rand();", "no rand()"),
                ("delete value;", "no naked delete"),
                ("return new Value();", "no naked new")):
            with self.subTest(statement):
                self.assert_refuses("src/base/planted_test.cc", f"void f() {{\n  {statement}\n}}\n",
                                    f"2: {message}")

    def test_what_only_resembles_a_banned_call_passes(self):
        self.assert_accepts("src/base/planted_test.cc", """// delete this; new Thing
struct Value {
  Value(const Value&) = delete;
};

auto f() {
  clock.sleep_until(end, stop);
  const auto text = "new Thing, rand()";
  return std::unique_ptr<Value>(new Value());
}
""")

    def test_printing_is_refused_outside_the_command_line(self):
        text = 'void f() {\n  std::cout << "x";\n}\n'
        self.assert_accepts("src/cli/planted.cc", text)
        self.assert_accepts("src/net/planted_test.cc", text)
        self.assert_refuses("src/net/planted.cc", text, "2: only cli and apps print")

    def test_a_task_without_an_issue_is_refused(self):
        self.assert_accepts("src/base/planted.cc", "// TO" "DO(#12): do it.\n")
        self.assert_refuses("src/base/planted.cc", "// TO" "DO: do it.\n", "1: write TO" "DO(#")

    # Documents.

    def test_a_link_that_leads_nowhere_is_refused(self):
        self.assert_refuses("docs/page.md", "# Page\n\n[gone](gone.md)\n",
                            "3: the link leads nowhere: gone.md")
        self.assert_refuses("docs/page.md", "# Page\n\n[part](#other-part)\n", "3: no heading")
        self.assert_accepts("docs/page.md", "# A page\n\n[here](#a-page), [out](https://x.test)\n")

    def test_a_constant_that_the_code_lacks_is_refused(self):
        self.assert_refuses("docs/formats/page.md", "# Page\n\n`kPlanted`\n",
                            "3: kPlanted is not in the code")

    def test_a_constant_with_another_value_is_refused(self):
        for stated in ("`kMiB` = 1,048,577.", "`kMiB = 1048577`", "| `kMiB` | 2 MiB |",
                       "at most 1,000 KiB (`kMiB`)"):
            with self.subTest(stated):
                self.assert_refuses("docs/formats/page.md", f"# Page\n\n{stated}\n",
                                    "3: kMiB is 1,048,576 in the code")

    def test_a_constant_with_its_value_passes(self):
        self.assert_accepts("docs/formats/page.md",
                            "# Page\n\n`kMiB` = 1,048,576, `kGiB = 1 GiB`, `kKiB`,\n"
                            "1,024 bytes (`kKiB`), in chunks of 7 `kKiB`\n")

    # What other programs check.

    def test_a_file_that_is_not_formatted_is_refused(self):
        self.copy(".clang-format")
        self.assert_refuses("src/base/planted.cc", "int   planted;\n", "1: not formatted")

    def test_a_script_that_shellcheck_refuses_is_refused(self):
        self.assert_refuses("tools/planted", "#!/bin/bash\necho $1\n", "2: note: Double quote")

    def test_broken_presets_are_refused(self):
        self.assert_refuses("CMakePresets.json", "{", "1: not JSON")
        self.assert_refuses("CMakePresets.json", '{"configurePresets": []}',
                            "1: configurePresets lacks asan")


if __name__ == "__main__":
    unittest.main()
