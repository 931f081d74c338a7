package conventions

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// maxBinary is the maximum size in bytes of the binary that "make build" and the Debian package build
// for amd64.
const maxBinary = 11_000_000

// maxInitAllocations is the maximum number of memory allocations in the initialization of the packages of
// this module. It is part of each start, before orchagent gets the port configuration. Most of them are
// in the list of the settings.
const maxInitAllocations = 250

// initAllocations returns the number of allocations of the packages of this module, as listed by the Go
// runtime.
func initAllocations(t *testing.T, binary string) (total int) {
	version := exec.Command(binary, "version")
	version.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := version.CombinedOutput()
	if err != nil {
		t.Fatalf("version: %v\n%s", err, out)
	}
	packages := 0
	for line := range strings.Lines(string(out)) { // init internal/bytealg @0.008 ms, 0 ms clock, 0 bytes, 0 allocs
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "init" || !strings.HasPrefix(words[1], "portsyncd/") {
			continue
		}
		n, err := strconv.Atoi(words[len(words)-2])
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		packages++
		total += n
		t.Logf("%s: %d allocations", words[1], n)
	}
	if packages == 0 {
		t.Fatalf("no package of this module in the output:\n%s", out)
	}
	return total
}

// TestBinarySize builds the binary with the flags of the Makefile, and checks its size and the
// allocations in the initialization of its packages.
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
	if runtime.GOARCH != "amd64" {
		return
	}
	if n := initAllocations(t, binary); n > maxInitAllocations {
		t.Errorf("the initialization of packages allocates %d times, more than %d", n, maxInitAllocations)
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
