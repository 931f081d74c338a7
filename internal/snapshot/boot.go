package snapshot

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// bootIDPath contains a random UUID that the kernel generates at boot (random(4)).
const bootIDPath = "/proc/sys/kernel/random/boot_id"

// BootID returns the kernel's UUID for this boot (36 characters). It is different for each boot. A
// container has the same boot ID as its host.
func BootID() (string, error) { return readBootID(bootIDPath) }

func readBootID(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read boot ID: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, 64))
	if err != nil {
		return "", fmt.Errorf("read boot ID: %w", err)
	}
	id := strings.TrimSuffix(string(text), "\n")
	if len(id) != 36 || strings.Trim(id, "0123456789abcdef-") != "" {
		return "", fmt.Errorf("read boot ID: invalid content %q of %s: must be a UUID", id, path)
	}
	return id, nil
}
