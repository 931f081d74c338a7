package conventions

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maxBinary is the maximum size in bytes of the binary that "make build" and the Debian package build
// for amd64.
const maxBinary = 11_000_000

// TestBinarySize builds the binary with the flags of the Makefile and checks its size.
func TestBinarySize(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	const flags = "go build -trimpath -ldflags '-s -w'\n"
	if !strings.Contains(string(makefile), flags) {
		t.Errorf("the Makefile does not build with %q", flags)
	}
	binary := filepath.Join(t.TempDir(), "portsyncd")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "portsyncd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > maxBinary {
		t.Errorf("the binary has %d bytes, more than %d; docs/BENCHMARKS.md lists its largest parts", info.Size(), maxBinary)
	}
}

// largePackages lists packages that the daemon must not contain, and why.
var largePackages = map[string]string{
	"text/template":  "it makes the linker keep all exported methods, 1.6 MB",
	"net/http/pprof": "0.3 MB, and it registers its handlers in each start",
	"regexp":         "0.2 MB, and it compiles an expression in each start",
}

// TestLargePackages checks that the daemon does not contain packages that it can do without.
func TestLargePackages(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "portsyncd").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := strings.Fields(string(out))
	if !slices.Contains(all, "portsyncd/portsync") {
		t.Fatalf("go list -deps printed %d packages without portsyncd/portsync", len(all))
	}
	for name, why := range largePackages {
		if slices.Contains(all, name) {
			t.Errorf("the daemon contains %s: %s", name, why)
		}
	}
}
