package reasoninggrpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// WithToken sends a caller's token with every call, as the metadata
// "authorization: Bearer TOKEN". It does so in plaintext too, where everybody on
// the way can read it: beyond loopback, use [WithTLS] as well. An empty token
// sends nothing.
func WithToken(token string) grpc.DialOption {
	if token == "" {
		return grpc.EmptyDialOption{}
	}
	return grpc.WithPerRPCCredentials(bearer(token))
}

type bearer string

func (token bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(token)}, nil
}

func (bearer) RequireTransportSecurity() bool {
	return false
}

// WithTLS turns TLS on. A nil config trusts the roots of the system;
// [TLSFiles.Config] makes one from files.
func WithTLS(config *tls.Config) grpc.DialOption {
	return grpc.WithTransportCredentials(credentials.NewTLS(config))
}

// TLSFiles names files in PEM, from which a TLS config is made.
type TLSFiles struct {
	// CertificateAuthority has the certificates that are trusted as roots, instead
	// of those of the system. Empty means those of the system.
	CertificateAuthority string
	// Certificate has the client's own certificate, for servers that ask for one.
	// Empty means none; else Key is required.
	Certificate string
	// Key has the private key of that certificate.
	Key string
}

// Config reads the files.
func (files TLSFiles) Config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if files.CertificateAuthority != "" {
		authority, err := os.ReadFile(files.CertificateAuthority)
		if err != nil {
			return nil, fmt.Errorf("reasoninggrpc: reading the certificate authority: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authority) {
			return nil, fmt.Errorf("reasoninggrpc: no certificate in %s", files.CertificateAuthority)
		}
	}
	if files.Certificate != "" || files.Key != "" {
		certificate, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
		if err != nil {
			return nil, fmt.Errorf("reasoninggrpc: reading the client's certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}
