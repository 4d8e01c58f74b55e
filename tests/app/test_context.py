"""A context beyond what the model was trained on: one sentence on stderr, and the same results."""
import cli


class Context(cli.Case):
    def run_with(self, ctx, *more):
        model = self.model("ctx.gguf", "ctx=64", "vocab=320")
        return self.ok("logits", model, "--tokens", "1,5,7", "--quiet", "--ctx", ctx, *more)

    def test_warning(self):
        inside, beyond = self.run_with("64"), self.run_with("96")
        self.assertEqual(inside.err, "")
        self.assertEqual(beyond.err.count("\n"), 1, beyond)
        self.assertRegex(beyond.err, "^lectern: warning: .* 96 positions .* the 64 .* trained on")
        self.assertEqual(beyond.out, inside.out)


if __name__ == "__main__":
    cli.main()
