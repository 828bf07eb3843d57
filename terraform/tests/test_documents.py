"""Documents that are written from something else are what they would be if written now."""

import unittest

import documents

HINT = "terraform/tests/run write makes it so"


class Documents(unittest.TestCase):
    maxDiff = None

    def test_readme_has_every_input_and_output(self):
        self.assertEqual(documents.README.read_text(), documents.readme(), HINT)

    def test_the_env_file_has_every_setting_with_its_default(self):
        self.assertEqual(documents.ENV_FILE.read_text(), documents.env_file(), HINT)


if __name__ == "__main__":
    unittest.main()
