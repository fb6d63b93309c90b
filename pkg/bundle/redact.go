package bundle

import (
	"bytes"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// Redacted stands in place of a Secret's value.
const Redacted = "***"

// lastApplied is where kubectl apply keeps a copy of the whole object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Redact returns content with the values of its Secrets replaced, for readers who may know which keys there are but not what
// they hold. Documents without a Secret stay as they are, byte for byte; one with a Secret is written anew, without its
// comments. Content that Parse would refuse is an error (fault.Internal, for it was accepted once): what cannot be read cannot be
// shown either.
func Redact(content []byte) ([]byte, error) {
	sections := split(content)
	out := make([]byte, 0, len(content))
	begin := content[:len(content)-len(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")))]
	out = append(out, begin...)
	limits := Limits{Bytes: max(DefaultLimits().Bytes, int64(len(content)))}
	for i, s := range sections {
		objects, err := Parse(s.text, limits)
		if err != nil {
			return nil, unreadable(err)
		}
		if !holdsSecret(objects) {
			out = append(out, s.text...)
			continue
		}
		text, err := written(objects)
		if err != nil {
			return nil, unreadable(err)
		}
		if i > 0 || isMarker(s.text) {
			out = append(out, "---\n"...)
		}
		out = append(out, text...)
	}
	return out, nil
}

// ParseStored reads content that was accepted once, whatever the limit of its size was then. Content that Parse would refuse is
// an error (fault.Internal).
func ParseStored(content []byte) ([]Object, error) {
	objects, err := Parse(content, Limits{Bytes: max(DefaultLimits().Bytes, int64(len(content)))})
	if err != nil {
		return nil, unreadable(err)
	}
	return objects, nil
}

func unreadable(err error) error {
	return fault.New(fault.Internal, "internal_error", "the stored content is no bundle, so that its Secrets cannot be told from the rest").Because(err)
}

func holdsSecret(objects []Object) bool {
	for _, o := range objects {
		if isSecret(o.Unstructured) {
			return true
		}
	}
	return false
}

func isSecret(o *unstructured.Unstructured) bool {
	gvk := o.GroupVersionKind()
	return gvk.Group == "" && gvk.Kind == "Secret"
}

// written returns objects as YAML documents, those of Secrets without their values.
func written(objects []Object) ([]byte, error) {
	var out []byte
	for i, o := range objects {
		if isSecret(o.Unstructured) {
			RedactSecret(o.Unstructured)
		}
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, "---\n"...)
		}
		out = append(out, text...)
	}
	return out, nil
}

// Mask replaces the values of Secrets in place, and returns how many Secrets there are: what is masked before it is compared
// does not tell whether a value is equal to another.
func Mask(objects []Object) int {
	n := 0
	for _, o := range objects {
		if isSecret(o.Unstructured) {
			RedactSecret(o.Unstructured)
			n++
		}
	}
	return n
}

// RedactSecret replaces the values of a Secret in place; its keys stay.
func RedactSecret(o *unstructured.Unstructured) {
	for _, field := range []string{"data", "stringData"} {
		switch values := o.Object[field].(type) {
		case nil:
		case map[string]any:
			for k := range values {
				values[k] = Redacted
			}
		default:
			o.Object[field] = Redacted // not what the API takes, but no less secret
		}
	}
	if a := o.GetAnnotations(); a[lastApplied] != "" {
		a[lastApplied] = Redacted
		o.SetAnnotations(a)
	}
}
